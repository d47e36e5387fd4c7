package dynamo

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	for attempt, limit := range map[int]time.Duration{1: 25 * time.Millisecond, 2: 50 * time.Millisecond, 6: 800 * time.Millisecond, 7: time.Second, 1000: time.Second} {
		var longest time.Duration
		for range 1000 {
			delay, _ := backoff(attempt, nil)
			longest = max(longest, delay)
		}
		if longest < limit/2 || longest >= limit {
			t.Errorf("attempt %d: the longest of 1000 delays is %v, want full jitter up to %v", attempt, longest, limit)
		}
	}
}

func TestDeadlineLimiter(t *testing.T) {
	for left, allowed := range map[time.Duration]bool{minTime / 2: false, time.Hour: true} {
		if _, err := (deadlineLimiter{}).GetToken(within(t, left), 1); (err == nil) != allowed {
			t.Errorf("with %v left: error %v", left, err)
		}
	}
}
