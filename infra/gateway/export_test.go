package gateway

// PID returns the process ID of an idle process of the function, or 0 if there is none.
func (f *Function) PID() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.idle) == 0 {
		return 0
	}
	return f.idle[0].command.Process.Pid
}
