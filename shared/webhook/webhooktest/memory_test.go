package webhooktest

import "testing"

func TestMemory(t *testing.T) {
	RunDeliveries(t, func(*testing.T) DeliveryTestStore { return NewMemory() })
}
