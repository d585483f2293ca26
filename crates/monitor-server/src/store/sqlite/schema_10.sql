-- `own` is 2 where the root's own process was started without a context.
CREATE INDEX root_unattached ON root(number) WHERE own = 2;
