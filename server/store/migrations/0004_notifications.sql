-- Purpose: what an attempt at a delivery needs to know without reading more, the state of topic
-- Subscriptions, audit entries that are found by delivery, and ticks that fire once.

-- `at` is the moment of the event in microseconds; `depth` how many deliveries led to it; `head`
-- the first row of the notification that the row was sent in; `priority` 0 before 1.
ALTER TABLE delivery ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN head INTEGER;
ALTER TABLE delivery ADD COLUMN reason TEXT NOT NULL DEFAULT '';

DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (priority, due, did) WHERE state = 'due';
CREATE INDEX delivery_held ON delivery (sub, did) WHERE state = 'held';
CREATE INDEX delivery_done ON delivery (due) WHERE state = 'done';
CREATE INDEX delivery_resource ON delivery (rid, did);

CREATE TABLE tick (
    name TEXT PRIMARY KEY,
    slot INTEGER NOT NULL
);
