//go:build unix

package file

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// This file keeps owner and group, which a replaced file would otherwise lose, and asks the kernel for
// rights without using them.

// links returns how many names a file has.
func links(stat fs.FileInfo) uint64 {
	if s, ok := stat.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Nlink)
	}
	return 1
}

// own gives a file the owner and group of another.
func own(f *os.File, like fs.FileInfo) error {
	is, err := f.Stat()
	if err != nil {
		return err
	}
	a, ok1 := is.Sys().(*syscall.Stat_t)
	b, ok2 := like.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 || a.Uid == b.Uid && a.Gid == b.Gid {
		return nil
	}
	return f.Chown(int(b.Uid), int(b.Gid))
}

// ownable reports whether [own] will succeed for the owner; for a group it depends on too much to say.
func ownable(stat fs.FileInfo) bool {
	s, ok := stat.Sys().(*syscall.Stat_t)
	return !ok || os.Geteuid() == 0 || int(s.Uid) == os.Geteuid()
}

// writable reports why files in a folder cannot be replaced, or nil.
func writable(folder string) error {
	return unix.Faccessat(unix.AT_FDCWD, folder, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}
