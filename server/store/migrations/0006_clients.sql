-- Purpose: the programs that may call (SMART Backend Services), their tokens, and who answers for a
-- Subscription.

-- `jwks` are its public keys as JSON; `scopes` what it may do; moments are microseconds since 1970.
CREATE TABLE client (
    client TEXT PRIMARY KEY,
    jwks TEXT NOT NULL,
    scopes TEXT NOT NULL,
    added INTEGER NOT NULL
);
-- A token itself is kept nowhere: `digest` is its SHA-256 in hexadecimal digits.
CREATE TABLE token (
    digest TEXT PRIMARY KEY,
    client TEXT NOT NULL,
    scopes TEXT NOT NULL,
    expires INTEGER NOT NULL
);
CREATE INDEX token_client ON token (client);
-- The ids of assertions that were taken, so that none is taken twice.
CREATE TABLE assertion (
    client TEXT NOT NULL,
    jti TEXT NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (client, jti)
);
-- The client that stored it last, "" where there was none.
ALTER TABLE subscription ADD COLUMN client TEXT NOT NULL DEFAULT '';
