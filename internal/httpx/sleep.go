package httpx

import (
	"context"
	"time"
)

// Sleep waits for d. It returns the context's error if that ends before or meanwhile.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}
