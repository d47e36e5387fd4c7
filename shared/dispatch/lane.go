package dispatch

import (
	"container/heap"
	"time"

	"webhooks/shared/webhook"
)

// laneQueue is how many due deliveries of a lane are in memory.
const laneQueue = 64

// fairShare divides the slots that the lane's company may still use: a lane begins an attempt only while its attempts use fewer than
// that divided by fairShare.
const fairShare = 32

// notTimed is the timer of a lane that does not wait for a time.
const notTimed = -1

// lane is a webhook that has something to do.
type lane struct {
	number  int64
	company *company
	state   webhook.Lane // as it was last read or changed

	queue  []int64        // due deliveries, in the order in which to attempt them
	more   bool           // the store may have due deliveries that are not in hand
	dueAt  time.Time      // when the store may have the next ones; zero if it has none
	inHand map[int64]bool // deliveries that are queued, running, or not recorded yet

	running, begun int // attempts, with and without those whose work is being read
	old            int // those that have been running for so long that the receiver is slow
	used           int // slots of the running attempts
	// width is how many attempts may run while the lane recovers, or 0 for no such limit.
	width int

	unrecorded []recordedFor // outcomes that the store did not accept
	recording  bool          // the first of them is being stored
	backoff                  // after failures of the store or of this service, which are not failed attempts

	moreGrants bool // the store may have more grants, to read after the next outcome

	listed bool // in the company's ring
	timer  int  // position in the heap
	at     time.Time
}

// recordedFor is an outcome with its work.
type recordedFor struct {
	work    webhook.Work
	outcome webhook.Outcome
}

func (n *lane) hasWork() bool { return len(n.queue) > 0 || n.more }

// opensAt returns the time from which on attempts may begin.
func (n *lane) opensAt() time.Time {
	if opens := n.state.OpensAt(); opens.After(n.until) {
		return opens
	}
	return n.until
}

// isOpen reports whether attempts may begin.
func (n *lane) isOpen(now time.Time) bool {
	return len(n.unrecorded) == 0 && !n.opensAt().After(now)
}

// hasRoom reports whether another attempt of the lane may run while its company may still use a number of slots.
func (n *lane) hasRoom(slots int) bool {
	switch {
	case n.running == 0:
		return true
	case n.state.IsFailing():
		return false
	case n.width > 0 && n.running >= n.width:
		return false
	}
	return n.used < slots/fairShare
}

// resize changes the width after an attempt. A lane that recovers allows one attempt, and one more after every success: 1, 2, 4, …
// at once.
func (n *lane) resize(wasFailing, succeeded bool) {
	switch {
	case wasFailing && succeeded, n.width > 0 && !succeeded:
		n.width = 1
	case n.width >= laneQueue:
		n.width = 0
	case n.width > 0:
		n.width++
	}
}

// lookAt makes the lane look for due deliveries at a time.
func (n *lane) lookAt(t time.Time) {
	if n.dueAt.IsZero() || t.Before(n.dueAt) {
		n.dueAt = t
	}
}

// nextTime returns the time at which to arrange the lane again, or the zero time if there is none.
func (n *lane) nextTime(now time.Time) time.Time {
	next := n.dueAt
	earlier := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if n.hasWork() {
		earlier(n.opensAt())
	}
	if len(n.unrecorded) > 0 {
		earlier(n.until) // whenever the lane opens
	}
	return next
}

// isIdle reports whether the lane can be forgotten.
func (n *lane) isIdle() bool {
	return !n.listed && n.running == 0 && len(n.inHand) == 0 && !n.more && n.dueAt.IsZero()
}

// laneHeap has the lanes that wait for a time, the earliest first.
type laneHeap []*lane

var _ heap.Interface = (*laneHeap)(nil)

func (h laneHeap) Len() int { return len(h) }

func (h laneHeap) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].number < h[j].number
	}
	return h[i].at.Before(h[j].at)
}

func (h laneHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].timer, h[j].timer = i, j
}

// Push implements [heap.Interface].
func (h *laneHeap) Push(x any) {
	n := x.(*lane)
	n.timer = len(*h)
	*h = append(*h, n)
}

// Pop implements [heap.Interface].
func (h *laneHeap) Pop() any {
	last := len(*h) - 1
	n := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	n.timer = notTimed
	return n
}
