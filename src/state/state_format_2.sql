-- Format 2: a lease says in which boot of the machine its monotonic time was taken.
ALTER TABLE chunk ADD COLUMN lease_boot TEXT;
