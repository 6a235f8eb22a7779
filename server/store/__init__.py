"""The only SQL: versions, index rows, subscriptions' deliveries, on SQLite."""
