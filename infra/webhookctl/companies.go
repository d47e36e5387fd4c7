package main

import (
	"context"
	"fmt"
	"text/tabwriter"
)

// companiesListCmd is "webhookctl companies list".
type companiesListCmd struct {
	listFormat
}

// Help is the end of "webhookctl companies list --help".
func (*companiesListCmd) Help() string {
	return `Lists every company that has webhooks, API keys or event types of its own, with their numbers, including expired and revoked keys and removed types. On DynamoDB this reads the whole table, which takes a while and costs read capacity if the table is large.

JSON fields: companies, an array of objects with company, webhooks, api_keys and event_types.

Examples:

    webhookctl companies list
    webhookctl companies list --output json`
}

// Run prints a table of the companies.
func (cmd *companiesListCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	return storage.withStore(ctx, c, existing, func(ctx context.Context, s *opened) error {
		companies, err := s.Companies(ctx)
		if err != nil {
			return storeError(err)
		}
		if len(companies) == 0 {
			fmt.Fprintf(c.err, "No companies in %s.\n", s.place)
		}
		if cmd.json() {
			return writeJSONList(c.out, "companies", companies, newCompanyJSON)
		}
		table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "COMPANY\tWEBHOOKS\tKEYS\tTYPES")
		for _, company := range companies {
			fmt.Fprintf(table, "%s\t%d\t%d\t%d\n", company.Company, company.Webhooks, company.APIKeys, company.EventTypes)
		}
		return table.Flush()
	})
}

// companyOrAll returns a company or, if it is empty, all companies of the store.
func companyOrAll(ctx context.Context, s *opened, company string) ([]string, error) {
	if company != "" {
		return []string{company}, nil
	}
	companies, err := s.Companies(ctx)
	if err != nil {
		return nil, storeError(err)
	}
	ids := make([]string, len(companies))
	for i, c := range companies {
		ids[i] = c.Company
	}
	return ids, nil
}
