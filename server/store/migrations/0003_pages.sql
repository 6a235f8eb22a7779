-- Purpose: a page of a type in the order of storing, without sorting the whole type.

CREATE INDEX resource_type ON resource (tid, type, rid);
