package gateway

import "context"

// PID is the id of an idle process of the function, or 0 where there is none.
func (f *Function) PID() int {
	p, _ := f.take(context.Background())
	defer f.put(p)
	if p == nil {
		return 0
	}
	return p.command.Process.Pid
}
