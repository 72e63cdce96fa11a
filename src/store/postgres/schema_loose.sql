-- What is off this side while it follows, each written down by the transaction that takes it off. See schema_loose.h.
CREATE TABLE IF NOT EXISTS godwit.loose (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order in which it is put back
    name     text    NOT NULL UNIQUE,
    was_here boolean NOT NULL, -- taken off here; false: defined on the other side, and never made here yet
    off      boolean NOT NULL, -- false: it is back, and `later` is not through yet
    take_off text    NOT NULL,
    put_back text    NOT NULL, -- quick: it runs inside the pause
    later    jsonb   NOT NULL, -- statements outside of any pause, one transaction each
    next     int     NOT NULL DEFAULT 0, -- the first of `later` that is to be done
    failed   text    -- why that one could not be done
);
