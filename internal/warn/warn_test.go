package warn

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

func TestList(t *testing.T) {
	var l List
	if got := l.Take(); got != nil {
		t.Errorf("an empty list says %q", got)
	}
	l.Add("%d days left", 3)
	l.Add("it is wide open")
	l.Add("%d days left", 3)
	if got, want := l.Take(), []string{"3 days left", "it is wide open"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	l.Add("it is wide open")
	l.Add("%d days left", 2)
	if got, want := l.Take(), []string{"2 days left"}; !slices.Equal(got, want) {
		t.Errorf("after they were said: got %q, want %q", got, want)
	}
	if got := l.Take(); got != nil {
		t.Errorf("said again: %q", got)
	}
}

func TestListConcurrently(t *testing.T) {
	var l List
	var got []string
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			for k := range 100 {
				l.Add("text %d", (n+k)%100)
			}
		})
	}
	for range 50 {
		got = append(got, l.Take()...)
	}
	all.Wait()
	got = append(got, l.Take()...)
	slices.Sort(got)
	var want []string
	for k := range 100 {
		want = append(want, fmt.Sprintf("text %d", k))
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d texts, want each of 100 once", len(got))
	}
}
