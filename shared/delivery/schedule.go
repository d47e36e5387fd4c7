package delivery

import "time"

// Schedule has the time before each attempt, counted from the one before. The first is 0.
type Schedule []time.Duration

// DefaultSchedule returns the schedule that Standard Webhooks recommends: ten attempts over three days.
func DefaultSchedule() Schedule {
	return Schedule{
		0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour,
		20 * time.Hour, 24 * time.Hour,
	}
}

// next returns when the attempt of a step is due after one that ended at a time, or false if the schedule has no such step.
// random is in [0, 1) and spreads the attempts by ±10 %, so that failures at one time do not come back at one time.
func (s Schedule) next(step int, at time.Time, random float64) (time.Time, bool) {
	if step >= len(s) {
		return time.Time{}, false
	}
	wait := float64(s[step]) * (0.9 + 0.2*random)
	return at.Add(time.Duration(wait)), true
}
