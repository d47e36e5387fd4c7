package transfer

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"webhooks/shared/webhook"
)

// text is a text with the most code points that it may have.
type text struct {
	name, value string
	most        int
}

func validTexts(texts ...text) error {
	for _, t := range texts {
		if utf8.RuneCountInString(t.value) > t.most {
			return fmt.Errorf("the %s has more than %d characters", t.name, t.most)
		}
	}
	return nil
}

// validEvents lets through what a store can hold.
func validEvents(events []string) error {
	if len(events) == 0 || len(events) > webhook.MaxEvents {
		return fmt.Errorf("a webhook has 1 to %d events", webhook.MaxEvents)
	}
	for i, event := range events {
		if event == "" || utf8.RuneCountInString(event) > webhook.MaxEventLength {
			return fmt.Errorf("the name of an event has 1 to %d characters", webhook.MaxEventLength)
		}
		if slices.Contains(events[:i], event) {
			return errors.New("an event is there twice")
		}
	}
	return nil
}

// validTimes wants the first one, and all in whole milliseconds, as stores keep them.
func validTimes(first time.Time, more ...time.Time) error {
	if first.IsZero() {
		return errors.New("the time of its making must be there")
	}
	for _, t := range append(more, first) {
		if !t.Equal(t.Truncate(time.Millisecond)) {
			return errors.New("a time is not in whole milliseconds")
		}
	}
	return nil
}
