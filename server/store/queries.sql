-- name: current
SELECT r.rid, r.ver, r.deleted, r.upd, v.body FROM resource r JOIN version v ON v.vrid = r.vrid
WHERE r.tid = ? AND r.type = ? AND r.fhir_id = ?;

-- name: insert_resource
INSERT INTO resource (tid, type, fhir_id, ver, upd, deleted, plan_ver, vrid)
VALUES (?, ?, ?, 0, 0, 1, 1, 0);

-- name: insert_version
INSERT INTO version (rid, ver, upd, method, txn, actor, body) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: set_current
UPDATE resource SET ver = ?, upd = ?, deleted = ?, vrid = ? WHERE rid = ?;

-- name: one_version
SELECT v.ver, v.upd, v.method, v.body FROM version v JOIN resource r ON r.rid = v.rid
WHERE r.tid = ? AND r.type = ? AND r.fhir_id = ? AND v.ver = ?;

-- name: versions
SELECT v.ver, v.upd, v.method, v.body FROM version v JOIN resource r ON r.rid = v.rid
WHERE r.tid = ? AND r.type = ? AND r.fhir_id = ? AND v.ver < ? ORDER BY v.ver DESC LIMIT ?;

-- name: body
SELECT body FROM version WHERE vrid = ?;

-- name: insert_param
INSERT OR IGNORE INTO param (type, code) VALUES (?, ?);

-- name: param
SELECT p FROM param WHERE type = ? AND code = ?;

-- name: insert_system
INSERT OR IGNORE INTO code_system (url) VALUES (?);

-- name: system
SELECT sys FROM code_system WHERE url = ?;

-- name: subscriptions
SELECT r.rid, v.body, s.secret FROM resource r JOIN version v ON v.vrid = r.vrid
JOIN subscription s ON s.rid = r.rid WHERE r.type = ? AND r.deleted = 0 ORDER BY r.rid;

-- name: epoch
SELECT epoch FROM subscription_epoch;

-- name: next_epoch
UPDATE subscription_epoch SET epoch = epoch + 1;

-- name: secret
SELECT secret FROM subscription WHERE rid = ?;

-- name: keep_secret
INSERT INTO subscription (rid, secret, events) VALUES (?, ?, 0)
ON CONFLICT (rid) DO UPDATE SET secret = excluded.secret;

-- name: next_event
UPDATE subscription SET events = events + 1 WHERE rid = ? RETURNING events;

-- name: insert_delivery
INSERT INTO delivery (sub, event, rid, vrid, uid, trace, state, attempts, due)
VALUES (?, ?, ?, ?, ?, ?, 'due', 0, ?);

-- name: due_deliveries
SELECT d.did, d.sub, d.rid, d.uid, d.trace, d.attempts, v.method, v.body FROM delivery d
JOIN version v ON v.vrid = d.vrid
WHERE d.state = 'due' AND d.due <= ? AND d.sub NOT IN (SELECT value FROM json_each(?))
AND NOT EXISTS (SELECT 1 FROM delivery e
                WHERE e.state = 'due' AND e.sub = d.sub AND e.rid = d.rid AND e.did < d.did)
ORDER BY d.due, d.did LIMIT ?;

-- name: settle_delivery
UPDATE delivery SET state = ?, attempts = ?, due = ?, status = ? WHERE did = ?;

-- name: delivery_counts
SELECT (SELECT count(*) FROM delivery WHERE state = 'due'),
       (SELECT count(*) FROM delivery WHERE state = 'dead');
