-- Instants are UTC. Numbers of events come from blocks, so that several servers can share a database.
CREATE SEQUENCE event_blocks INCREMENT BY 1000000;

-- One row that a guard judged. A request's rows are written in one transaction.
CREATE TABLE events (
  seq BIGINT NOT NULL,
  guard VARCHAR(100) NOT NULL,
  version VARCHAR(20) NOT NULL,
  shadow BOOLEAN NOT NULL,
  request VARCHAR(128) NOT NULL,
  row_no INTEGER NOT NULL,
  stream VARCHAR(128) NOT NULL,
  judged_at TIMESTAMP NOT NULL,
  label INTEGER NOT NULL,
  class_name VARCHAR NOT NULL,
  probability DOUBLE PRECISION NOT NULL,
  score DOUBLE PRECISION NOT NULL,
  is_unknown BOOLEAN NOT NULL,
  detector VARCHAR NOT NULL,
  latency_ns BIGINT NOT NULL
);

-- What was judged, as little-endian float32; only where the operator says so.
CREATE TABLE inputs (
  seq BIGINT NOT NULL,
  judged_at TIMESTAMP NOT NULL,
  row_values BYTEA NOT NULL
);

-- What rows really were. judged_at is that of the row; null while a label waits for its row.
CREATE TABLE labels (
  guard VARCHAR(100) NOT NULL,
  request VARCHAR(128) NOT NULL,
  row_no INTEGER NOT NULL,
  label INTEGER NOT NULL,
  posted_at TIMESTAMP NOT NULL,
  judged_at TIMESTAMP,
  PRIMARY KEY (guard, request, row_no)
);

-- What happened to the server and its guards; details is JSON.
CREATE TABLE server_events (
  seq BIGINT NOT NULL,
  happened_at TIMESTAMP NOT NULL,
  kind VARCHAR(40) NOT NULL,
  guard VARCHAR(100) NOT NULL,
  version VARCHAR(20) NOT NULL,
  message VARCHAR NOT NULL,
  details VARCHAR NOT NULL
);
