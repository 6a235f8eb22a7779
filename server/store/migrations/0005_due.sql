-- What is due is looked through without the rows of Subscriptions that nothing can go to now.
DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (priority, due, did, sub) WHERE state = 'due';
