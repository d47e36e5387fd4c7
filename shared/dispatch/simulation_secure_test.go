package dispatch_test

import "testing"

type secure struct{}

func newSecure(t *testing.T) *secure             { return nil }
func (s *secure) client(p *process) *modelPoster { return nil }
func (s *secure) close()                         {}
