"""The $operations, one file each; OPERATIONS names them all, JOBS what runs in the background."""

from server.interactions import retention
from server.operations import (
    claim_inquire,
    claim_submit,
    cob_order,
    deliveries,
    eligibility_submit,
    everything,
    export,
    meta,
    meta_change,
    reindex,
    resend,
    resolve_member,
    resolve_payer,
    subscription_events,
    subscription_status,
    validate,
)
from server.operations.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    claim_inquire.OPERATION,
    claim_submit.OPERATION,
    cob_order.OPERATION,
    deliveries.LIST,
    deliveries.REDELIVER,
    eligibility_submit.OPERATION,
    eligibility_submit.CHECK,
    everything.OPERATION,
    export.OPERATION,
    export.OF_PATIENTS,
    export.OF_GROUP,
    meta.OPERATION,
    meta_change.ADD,
    meta_change.DELETE,
    reindex.OPERATION,
    resend.OPERATION,
    resolve_member.OPERATION,
    resolve_payer.OPERATION,
    subscription_events.OPERATION,
    subscription_events.RESEND,
    subscription_status.OPERATION,
    validate.OPERATION,
)
JOBS = {export.KIND: export.run, reindex.KIND: reindex.run, retention.KIND: retention.run}
