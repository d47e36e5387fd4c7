package delivery

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxPause is the longest pause that a receiver can ask for.
const maxPause = 24 * time.Hour

// retryAfter returns the time until which a receiver asks for a pause, at most a day from now (RFC 9110, section 10.2.3). A
// value that is neither whole seconds nor a date in one of HTTP's three forms counts as absent, and so does a time that has
// passed. Of several values, the first one counts.
func retryAfter(header http.Header, now time.Time) (time.Time, bool) {
	value := strings.TrimSpace(header.Get("Retry-After"))
	until := now
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(maxPause/time.Second) {
			seconds = int64(maxPause / time.Second)
		}
		until = now.Add(time.Duration(seconds) * time.Second)
	} else if date, err := http.ParseTime(value); err == nil {
		until = date
	}
	if latest := now.Add(maxPause); until.After(latest) {
		until = latest
	}
	return until, until.After(now)
}
