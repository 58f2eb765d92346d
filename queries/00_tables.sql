-- The tables that queries look things up in. Files are CSV with a header, read again every minute; paths are from the directory
-- that the program runs in. Those here fit the traffic of `backstream generate` and of the tests; write your own in their place.
-- (The table interfaces is there without a statement; settings.toml says which file is its own.)
-- whose addresses
CREATE TABLE customers (prefix cidr PRIMARY KEY, customer text, quota bigint)
WITH (file = 'tables/customers.csv', refresh = '60 s');
-- a routing table: the AS that originates, and the point of presence where traffic to it leaves
CREATE TABLE routes (prefix cidr PRIMARY KEY, origin_as bigint, pop text)
WITH (file = 'tables/routes.csv', refresh = '60 s');
-- prefixes that no packet on the Internet may come from
CREATE TABLE bogons (prefix cidr PRIMARY KEY)
WITH (file = 'tables/bogons.csv', refresh = '60 s');
-- prefixes of our own that nobody uses
CREATE TABLE dark (prefix cidr PRIMARY KEY)
WITH (file = 'tables/dark.csv', refresh = '60 s');
-- names of services
CREATE TABLE services (protocol int, port int, name text, PRIMARY KEY (protocol, port))
WITH (file = 'tables/services.csv', refresh = '60 s');
-- sampling rates of routers that do not tell them
CREATE TABLE sampling (exporter inet PRIMARY KEY, rate bigint)
WITH (file = 'tables/sampling.csv', refresh = '60 s');
