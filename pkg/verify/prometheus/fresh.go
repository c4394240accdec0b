package prometheus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/remint-dev/remint/internal/httpx"
	"github.com/remint-dev/remint/pkg/rotate"
)

// This file makes sure that only samples count which were scraped after the verification began. An instant query looks
// back five minutes, and the time that comes with its answer is the moment of the query, not that of the sample. So:
//
//   - All moments are the server's: its clock is asked once, time(), and that is the beginning. Every query names the
//     moment it is meant for, so that all queries of one look see the same samples.
//   - An instant selector x is asked for min(timestamp(x)) first, which is when the oldest of its samples was scraped;
//     timestamp() says so for a bare selector only. Only if that is not before the beginning, the query itself
//     follows, at the same moment: what it sees can then only be as new, or newer.
//   - A window [d] has to lie after the beginning as a whole, so the query waits until the moment is d later.
//   - A selector without samples is not old; whether the query then has an answer is seen by asking it.
//
// The samples' time is the scraping server's clock, or the exporter's if that gives times of its own; in a federation
// these clocks must agree with that of the server asked.

// clock is the server's, by an answer and the time that has passed since.
type clock struct {
	server time.Time
	seen   time.Time
}

// now is never ahead of the server's clock: the answer was on its way for a while.
func (c clock) now() time.Time {
	return c.server.Add(time.Since(c.seen)).Truncate(time.Millisecond)
}

// clock asks for the server's time.
func (q *Query) clock(ctx context.Context) (clock, error) {
	a, err := q.ask(ctx, "time()", time.Time{})
	if err != nil {
		return clock{}, err
	}
	if len(a.points) != 1 || !(a.points[0].value > 0 && a.points[0].value < 1e11) {
		return clock{}, fmt.Errorf("%w: Prometheus does not say what time it is", rotate.ErrTemporary)
	}
	return clock{moment(a.points[0].value), time.Now()}, nil
}

func moment(seconds float64) time.Time { return time.UnixMilli(int64(math.Round(seconds * 1000))) }

// prepared is a query for one token.
type prepared struct {
	query     string
	instant   []string // selectors whose samples have an age
	reach     time.Duration
	limits    limits
	beginning time.Time
}

// prepare puts a token into the query.
func (q *Query) prepare(t rotate.Token) (prepared, error) {
	var p prepared
	var err error
	if p.query, err = expand(q.Query, t); err != nil {
		return p, err
	}
	for _, s := range q.selectors {
		if s.window > 0 {
			p.reach = max(p.reach, s.reach())
			continue
		}
		text, err := expand(s.text, t)
		if err != nil {
			return p, err
		}
		p.instant = append(p.instant, text)
	}
	p.limits, err = q.limits(t)
	return p, err
}

// look asks once, for the moment at. Its error says why the state is what it is; final means that asking again is
// of no use.
func (q *Query) look(ctx context.Context, p prepared, at time.Time) (s state, final bool, err error) {
	if wait := p.beginning.Add(p.reach).Sub(at); wait > 0 {
		return stale, false, fmt.Errorf("the window of the query does not yet lie after the beginning as a whole; that takes another %s", wait.Round(time.Second))
	}
	without, old, err := q.ages(ctx, p, p.instant, at)
	switch {
	case err != nil:
		return silent, lasting(err), err
	case old != nil:
		return stale, false, old
	}
	a, err := q.ask(ctx, p.query, at)
	if err != nil {
		return silent, lasting(err), err
	}
	if s, err = p.limits.judge(a); s == empty {
		return s, false, err
	}
	// A slow scrape may have brought an old sample of these after they were asked for.
	if _, old, again := q.ages(ctx, p, without, at); again != nil {
		return silent, lasting(again), again
	} else if old != nil {
		return stale, false, old
	}
	return s, false, err
}

// ages returns which of the selectors have no sample, and in old that another has one from before the beginning.
func (q *Query) ages(ctx context.Context, p prepared, selectors []string, at time.Time) (without []string, old, err error) {
	for _, s := range selectors {
		a, err := q.ask(ctx, "min(timestamp("+s+"))", at)
		switch {
		case err != nil:
			return nil, nil, err
		case len(a.points) == 0:
			without = append(without, s)
			continue
		}
		if oldest := moment(a.points[0].value); oldest.Before(p.beginning) {
			return nil, fmt.Errorf("%s was last scraped %s before the verification began (all of its series count); is its target up, and scraped more often than within?",
				httpx.Clean(s, 120), p.beginning.Sub(oldest).Round(time.Millisecond)), nil
		}
	}
	return without, nil, nil
}

// lasting reports whether an error stays however often one asks.
func lasting(err error) bool {
	return errors.Is(err, rotate.ErrConfig) || errors.Is(err, rotate.ErrDenied) || errors.Is(err, rotate.ErrNotFound)
}
