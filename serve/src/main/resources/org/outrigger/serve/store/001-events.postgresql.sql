-- DuckDB keeps the smallest and largest values of each block of rows, which come in the order of time; PostgreSQL needs
-- indices for the same questions.
CREATE UNIQUE INDEX events_seq ON events (seq);
CREATE INDEX events_request ON events (guard, request, row_no);
CREATE INDEX events_judged_at ON events (guard, judged_at, seq);
CREATE INDEX events_age ON events (judged_at);
CREATE UNIQUE INDEX inputs_seq ON inputs (seq);
CREATE INDEX inputs_age ON inputs (judged_at);
CREATE INDEX labels_judged_at ON labels (guard, judged_at);
CREATE INDEX server_events_happened_at ON server_events (happened_at, seq);
