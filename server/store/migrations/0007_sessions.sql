-- Purpose: the sessions of people on our pages, so that one that is over is over everywhere.

-- What a browser has is kept nowhere: `digest` is its SHA-256 in hexadecimal digits. `roles` have
-- blanks between; `until` and `seen`, when a page was asked for, are microseconds since 1970.
CREATE TABLE session (
    digest TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    name TEXT NOT NULL,
    roles TEXT NOT NULL,
    until INTEGER NOT NULL,
    seen INTEGER NOT NULL
);
