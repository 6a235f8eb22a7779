"""The $operations, one file each; OPERATIONS names them all, JOBS what runs in the background."""

from server.operations import (
    eligibility_submit,
    everything,
    export,
    meta,
    meta_change,
    reindex,
    validate,
)
from server.operations.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    eligibility_submit.OPERATION,
    everything.OPERATION,
    export.OPERATION,
    export.OF_PATIENTS,
    export.OF_GROUP,
    meta.OPERATION,
    meta_change.ADD,
    meta_change.DELETE,
    reindex.OPERATION,
    validate.OPERATION,
)
JOBS = {export.KIND: export.run, reindex.KIND: reindex.run}
