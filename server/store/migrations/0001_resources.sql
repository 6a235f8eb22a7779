-- Purpose: resources, their versions, the typed search index, and the outbox of deliveries.
-- Bodies live once, in `version`. Index rows are a pure function of the current body.

CREATE TABLE tenant (
    tid INTEGER PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE
);
INSERT INTO tenant (tid, slug) VALUES (1, 'default');

CREATE TABLE resource (
    rid INTEGER PRIMARY KEY,
    tid INTEGER NOT NULL REFERENCES tenant,
    type INTEGER NOT NULL,
    fhir_id TEXT NOT NULL,
    ver INTEGER NOT NULL,
    upd INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    plan_ver INTEGER NOT NULL,
    vrid INTEGER NOT NULL,
    UNIQUE (tid, type, fhir_id)
);
CREATE INDEX resource_upd ON resource (tid, type, upd, rid);

CREATE TABLE version (
    vrid INTEGER PRIMARY KEY,
    rid INTEGER NOT NULL REFERENCES resource,
    ver INTEGER NOT NULL,
    upd INTEGER NOT NULL,
    method TEXT NOT NULL,
    txn INTEGER NOT NULL,
    actor TEXT NOT NULL,
    body BLOB,
    UNIQUE (rid, ver)
);
CREATE INDEX version_upd ON version (upd, vrid);

CREATE TABLE param (
    p INTEGER PRIMARY KEY,
    type INTEGER NOT NULL,
    code TEXT NOT NULL,
    UNIQUE (type, code)
);
CREATE TABLE code_system (
    sys INTEGER PRIMARY KEY,
    url TEXT NOT NULL UNIQUE
);

CREATE TABLE ix_token (
    p INTEGER NOT NULL, v TEXT NOT NULL, rid INTEGER NOT NULL, sys INTEGER NOT NULL,
    PRIMARY KEY (p, v, rid, sys)
) WITHOUT ROWID;
CREATE TABLE ix_reference (
    p INTEGER NOT NULL, tid TEXT NOT NULL, rid INTEGER NOT NULL, ttype INTEGER NOT NULL,
    url_id INTEGER NOT NULL,
    PRIMARY KEY (p, tid, rid, ttype, url_id)
) WITHOUT ROWID;
CREATE TABLE ix_string (
    p INTEGER NOT NULL, v TEXT NOT NULL, rid INTEGER NOT NULL, raw TEXT NOT NULL,
    PRIMARY KEY (p, v, rid, raw)
) WITHOUT ROWID;
CREATE TABLE ix_date (
    p INTEGER NOT NULL, lo INTEGER NOT NULL, hi INTEGER NOT NULL, rid INTEGER NOT NULL,
    PRIMARY KEY (p, lo, hi, rid)
) WITHOUT ROWID;
CREATE INDEX ix_date_hi ON ix_date (p, hi, lo, rid);
CREATE TABLE ix_quantity (
    p INTEGER NOT NULL, lo REAL NOT NULL, hi REAL NOT NULL, rid INTEGER NOT NULL,
    sys INTEGER NOT NULL, code TEXT NOT NULL,
    PRIMARY KEY (p, lo, hi, rid, sys, code)
) WITHOUT ROWID;
CREATE TABLE ix_uri (
    p INTEGER NOT NULL, v TEXT NOT NULL, rid INTEGER NOT NULL,
    PRIMARY KEY (p, v, rid)
) WITHOUT ROWID;

-- The signing secret of a Subscription never stands in its body: it is kept here.
CREATE TABLE subscription (
    rid INTEGER PRIMARY KEY REFERENCES resource,
    secret TEXT NOT NULL,
    events INTEGER NOT NULL
);
-- Moves with every change of any Subscription, so that each process knows when to read them anew.
CREATE TABLE subscription_epoch (epoch INTEGER NOT NULL);
INSERT INTO subscription_epoch (epoch) VALUES (0);

CREATE TABLE delivery (
    did INTEGER PRIMARY KEY,
    sub INTEGER NOT NULL,
    event INTEGER NOT NULL,
    rid INTEGER NOT NULL,
    vrid INTEGER NOT NULL,
    uid TEXT NOT NULL UNIQUE,
    trace TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due INTEGER NOT NULL,
    status INTEGER,
    UNIQUE (sub, event)
);
CREATE INDEX delivery_due ON delivery (due, did) WHERE state = 'due';
CREATE INDEX delivery_dead ON delivery (did) WHERE state = 'dead';
CREATE INDEX delivery_order ON delivery (sub, rid, did) WHERE state = 'due';
