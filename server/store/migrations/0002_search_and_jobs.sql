-- Purpose: index rows by resource (sorting, :missing, _include), composite search parameters, the
-- search parameters that are stored as resources, long jobs, and loads that go on where they ended.

CREATE INDEX ix_token_row ON ix_token (rid, p);
CREATE INDEX ix_reference_row ON ix_reference (rid, p);
CREATE INDEX ix_string_row ON ix_string (rid, p);
CREATE INDEX ix_date_row ON ix_date (rid, p);
CREATE INDEX ix_quantity_row ON ix_quantity (rid, p);
CREATE INDEX ix_uri_row ON ix_uri (rid, p);

-- One row for each value of each part of each element that a composite parameter stands for.
CREATE TABLE ix_composite (
    p INTEGER NOT NULL, part INTEGER NOT NULL, v TEXT NOT NULL, sys INTEGER NOT NULL,
    raw TEXT NOT NULL, lo REAL NOT NULL, hi REAL NOT NULL, ttype INTEGER NOT NULL,
    rid INTEGER NOT NULL, el INTEGER NOT NULL,
    PRIMARY KEY (p, part, v, lo, hi, rid, el, sys, ttype, raw)
) WITHOUT ROWID;
CREATE INDEX ix_composite_row ON ix_composite (rid, p);

-- A SearchParameter resource can be searched by when every resource is indexed for it.
CREATE TABLE search_parameter (
    rid INTEGER PRIMARY KEY REFERENCES resource,
    ready INTEGER NOT NULL
);
ALTER TABLE subscription_epoch ADD COLUMN parameters INTEGER NOT NULL DEFAULT 0;
CREATE INDEX resource_plan ON resource (plan_ver, rid);

CREATE TABLE job (
    jid INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    started INTEGER NOT NULL,
    progress TEXT NOT NULL,
    wish BLOB NOT NULL,
    result BLOB
);

CREATE TABLE load_progress (
    source TEXT PRIMARY KEY,
    done INTEGER NOT NULL
);
CREATE TABLE secret (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
);
