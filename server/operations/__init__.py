"""The $operations, one file each; OPERATIONS names them all."""

from server.operations import validate
from server.operations.operation import Operation

OPERATIONS: tuple[Operation, ...] = (validate.OPERATION,)
