// Package sandbox is what "webhookctl serve --dev" puts around the API so that it can be tried on
// one machine: a company with an API key and event types, a certificate authority for loopback, a
// receiver over HTTPS that shows what arrives, and the curl lines to begin with. All that has to
// survive a restart is kept in one folder.
package sandbox
