package webhooktest

import "testing"

func TestMemory(t *testing.T) {
	RunDeliveries(t, func(*testing.T) DeliveryTestStore { return NewMemory() })
}

func TestMemoryBacklog(t *testing.T) {
	RunBacklog(t, func(*testing.T) BacklogTestStore { return NewMemory() })
}

// A fan-out of one delivery at a time changes nothing.
func TestMemoryFanOut(t *testing.T) {
	open := func() *Memory {
		m := NewMemory()
		m.FanOutLimit = 1
		return m
	}
	RunDeliveries(t, func(*testing.T) DeliveryTestStore { return open() })
	RunBacklog(t, func(*testing.T) BacklogTestStore { return open() })
}
