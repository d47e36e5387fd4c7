package sqlite

import (
	"context"

	"webhooks/shared/webhook"
)

const selectCompanies = `
SELECT company, sum(webhooks), sum(keys), sum(types) FROM (
    SELECT company, webhooks, 0 AS keys, 0 AS types FROM counters WHERE webhooks > 0
    UNION ALL SELECT company, 0, count(*), 0 FROM api_keys WHERE company <> '' GROUP BY company
    UNION ALL SELECT company, 0, 0, count(*) FROM event_types WHERE company <> '' GROUP BY company
) GROUP BY company ORDER BY company`

// Companies returns all companies that have webhooks, API keys or event types of their own, by ID. It is for an operator's command.
func (s *Store) Companies(ctx context.Context) ([]webhook.CompanyItems, error) {
	rows, err := s.reads.db.QueryContext(ctx, selectCompanies)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	var companies []webhook.CompanyItems
	for rows.Next() {
		var c webhook.CompanyItems
		if err := rows.Scan(&c.Company, &c.Webhooks, &c.APIKeys, &c.EventTypes); err != nil {
			return nil, translate(err)
		}
		companies = append(companies, c)
	}
	return companies, translate(rows.Err())
}
