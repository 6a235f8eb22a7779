-- name: current
SELECT r.rid, r.ver, r.deleted, r.upd, v.body FROM resource r JOIN version v ON v.vrid = r.vrid
WHERE r.tid = ? AND r.type = ? AND r.fhir_id = ?;

-- name: hold
SELECT r.rid FROM resource r WHERE r.tid = ? AND r.type = ? AND r.fhir_id = ?;

-- name: hold_next
SELECT r.rid FROM resource r WHERE r.rid > ? ORDER BY r.rid LIMIT ?;

-- name: insert_resource
INSERT INTO resource (rid, tid, type, fhir_id, ver, upd, deleted, plan_ver, vrid)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: insert_version
INSERT INTO version (vrid, rid, ver, upd, method, txn, actor, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: set_current
UPDATE resource SET ver = ?, upd = ?, deleted = ?, plan_ver = ?, vrid = ? WHERE rid = ?;

-- name: one_version
SELECT v.ver, v.upd, v.method, v.body FROM version v JOIN resource r ON r.rid = v.rid
WHERE r.tid = ? AND r.type = ? AND r.fhir_id = ? AND v.ver = ?;

-- name: next_resources
SELECT r.rid, r.type, v.body FROM resource r JOIN version v ON v.vrid = r.vrid
WHERE r.rid > ? ORDER BY r.rid LIMIT ?;

-- name: count_resources
SELECT count(*) FROM resource;

-- name: count_older_plan
SELECT count(*) FROM resource WHERE plan_ver < ?;

-- name: set_plan
UPDATE resource SET plan_ver = ? WHERE rid = ?;

-- name: insert_param
INSERT INTO param (type, code) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: param
SELECT p FROM param WHERE type = ? AND code = ?;

-- name: insert_system
INSERT INTO code_system (url) VALUES (?) ON CONFLICT DO NOTHING;

-- name: system
SELECT sys FROM code_system WHERE url = ?;

-- name: subscriptions
SELECT r.rid, r.vrid, s.secret, COALESCE(c.scopes, '') FROM resource r
JOIN subscription s ON s.rid = r.rid LEFT JOIN client c ON c.client = s.client WHERE r.type = ? AND r.deleted = 0 ORDER BY r.rid;

-- name: epochs
SELECT epoch, parameters FROM subscription_epoch;

-- name: next_epoch
UPDATE subscription_epoch SET epoch = ?;

-- name: kept
SELECT secret, client FROM subscription WHERE rid = ?;

-- name: keep_secret
INSERT INTO subscription (rid, secret, events, client) VALUES (?, ?, 0, ?)
ON CONFLICT (rid) DO UPDATE SET secret = excluded.secret, client = CASE excluded.client
WHEN '' THEN subscription.client ELSE excluded.client END;

-- name: count_event
UPDATE subscription SET events = events + 1 WHERE rid = ?;

-- name: insert_delivery
INSERT INTO delivery (sub, event, rid, vrid, uid, trace, state, attempts, due, at, depth, priority,
                      reason)
VALUES (?, (SELECT events FROM subscription WHERE rid = ?), ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?);

-- name: events_so_far
SELECT events FROM subscription WHERE rid = ?;

-- name: delivery_rows
SELECT d.did, d.sub, d.event, d.rid, d.uid, d.trace, d.attempts, d.depth, d.at, d.due, d.head, d.state,
       d.status, d.reason, r.type, r.fhir_id, v.ver, v.method, v.ver = 1 OR EXISTS
       (SELECT 1 FROM version o WHERE o.rid = v.rid AND o.ver = v.ver - 1 AND o.body IS NULL), v.body
FROM delivery d
JOIN version v ON v.vrid = d.vrid JOIN resource r ON r.rid = d.rid;

-- name: where_due
WHERE d.state = 'due' AND d.due <= ?
AND d.did NOT IN (SELECT value FROM json_each(?)) AND d.sub NOT IN (SELECT value FROM json_each(?))
AND NOT EXISTS (SELECT 1 FROM delivery e
                WHERE e.state = 'due' AND e.sub = d.sub AND e.rid = d.rid AND e.did < d.did)
ORDER BY d.priority, d.due, d.did LIMIT ?;

-- name: where_lane
WHERE d.state = 'due' AND d.sub = ? AND d.rid = ? ORDER BY d.did LIMIT 1;

-- name: where_subscription
WHERE d.state = 'due' AND d.sub = ? ORDER BY d.did LIMIT 1;

-- name: where_never_sent
WHERE d.state = 'due' AND d.sub = ? AND d.did >= ? AND d.head IS NULL ORDER BY d.did LIMIT ?;

-- name: where_head
WHERE d.sub = ? AND d.head = ? ORDER BY d.did;

-- name: where_uid
WHERE d.uid = ?;

-- name: where_row
WHERE d.did = ?;

-- name: where_number
WHERE d.sub = ? AND d.event >= ? AND d.event <= ? ORDER BY d.event LIMIT ?;

-- name: settle_delivery
UPDATE delivery SET state = CASE WHEN state = 'held' AND ? = 'due' THEN 'held' ELSE ? END,
attempts = ?, due = ?, status = ?, reason = ?, head = ?
WHERE did = ? AND state IN ('due', 'held');

-- name: send_again
UPDATE delivery SET state = 'due', attempts = 0, due = ?, reason = '' WHERE did = ?;

-- name: hold_deliveries
UPDATE delivery SET state = 'held' WHERE sub = ? AND state = 'due';

-- name: held_lanes
SELECT sub, rid, priority FROM delivery WHERE sub = ? AND state = 'held' ORDER BY did;

-- name: release_deliveries
UPDATE delivery SET state = 'due', due = ? WHERE sub = ? AND state = 'held';

-- name: drop_deliveries
UPDATE delivery SET state = 'dead', due = ?, reason = ? WHERE sub = ? AND state IN ('due', 'held');

-- name: lanes_due
SELECT sub, rid, priority FROM delivery WHERE state = 'due' ORDER BY did;

-- name: delete_done
DELETE FROM delivery WHERE did IN
(SELECT did FROM delivery WHERE state = 'done' AND due < ? ORDER BY due LIMIT ?)
RETURNING did;

-- name: delivery_counts
SELECT (SELECT count(*) FROM delivery WHERE state = 'due'),
       (SELECT count(*) FROM delivery WHERE state = 'dead'),
       (SELECT count(*) FROM delivery WHERE state = 'held');

-- name: old_audits
SELECT r.rid FROM resource r WHERE r.type = ? AND r.upd < ? AND EXISTS
(SELECT 1 FROM ix_token t WHERE t.p = ? AND t.sys = ? AND t.rid = r.rid) ORDER BY r.upd LIMIT ?;

-- name: take_tick
INSERT INTO tick (name, slot) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET slot = excluded.slot WHERE tick.slot < excluded.slot
RETURNING slot;

-- name: parameter_resources
SELECT v.body, p.ready FROM search_parameter p JOIN resource r ON r.rid = p.rid
JOIN version v ON v.vrid = r.vrid WHERE r.deleted = 0 ORDER BY p.rid;

-- name: keep_parameter
INSERT INTO search_parameter (rid, ready) VALUES (?, ?)
ON CONFLICT (rid) DO UPDATE SET ready = excluded.ready;

-- name: parameters_ready
UPDATE search_parameter SET ready = 1;

-- name: next_parameter_epoch
UPDATE subscription_epoch SET parameters = ?;

-- name: insert_job
INSERT INTO job (uid, kind, state, started, progress, wish) VALUES (?, ?, 'accepted', ?, '', ?);

-- name: job
SELECT jid, uid, kind, state, started, progress, wish, result FROM job WHERE uid = ?;

-- name: next_job
SELECT jid, uid, kind, state, started, progress, wish, result FROM job
WHERE state = 'accepted' AND kind IN ('export', 'reindex', 'retention') ORDER BY jid LIMIT 1;

-- name: set_job
UPDATE job SET state = ?, progress = ?, result = ? WHERE uid = ?;

-- name: delete_old_jobs
DELETE FROM job WHERE started < ?;

-- name: delete_job
DELETE FROM job WHERE uid = ?;

-- name: loaded
SELECT done FROM load_progress WHERE source = ?;

-- name: keep_loaded
INSERT INTO load_progress (source, done) VALUES (?, ?)
ON CONFLICT (source) DO UPDATE SET done = excluded.done;

-- name: secret_named
SELECT value FROM secret WHERE name = ?;

-- name: insert_secret
INSERT INTO secret (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: put_client
INSERT INTO client (client, jwks, scopes, added) VALUES (?, ?, ?, ?)
ON CONFLICT (client) DO UPDATE SET jwks = excluded.jwks, scopes = excluded.scopes;

-- name: remove_client
DELETE FROM client WHERE client = ?;

-- name: client
SELECT client, jwks, scopes FROM client WHERE client = ?;

-- name: clients
SELECT client, jwks, scopes FROM client ORDER BY client;

-- name: insert_token
INSERT INTO token (digest, client, scopes, expires) VALUES (?, ?, ?, ?);

-- name: token
SELECT client, scopes, expires FROM token WHERE digest = ? AND expires > ?;

-- name: remove_token
DELETE FROM token WHERE digest = ? AND client = ?;

-- name: remove_tokens
DELETE FROM token WHERE client = ?;

-- name: remove_old_tokens
DELETE FROM token WHERE expires <= ?;

-- name: insert_assertion
INSERT INTO assertion (client, jti, expires) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING jti;

-- name: remove_old_assertions
DELETE FROM assertion WHERE expires <= ?;

-- name: insert_session
INSERT INTO session (digest, subject, name, roles, until, seen) VALUES (?, ?, ?, ?, ?, ?);

-- name: session
SELECT subject, name, roles, until, seen FROM session WHERE digest = ?;

-- name: see_session
UPDATE session SET seen = ? WHERE digest = ?;

-- name: remove_session
DELETE FROM session WHERE digest = ? RETURNING digest;

-- name: remove_old_sessions
DELETE FROM session WHERE until <= ?;
