create materialized view if not exists v (x,y) with (emit='on_close', n=5, m=-7, z=0, f=1.5, flag, word=bare, alert.for='3', "a.b"='c', t=true) as select 1 with no data; select   2 ;drop view if exists b, c restrict -- end;
create or replace view v with (a=1) as select a from (select b from c) d;
create foreign table if not exists f (a timestamptz options (x 'y'), b double precision, c bigint[], d int null, e text) server s options (o 'p', q 'r');
create foreign table g () server s;
explain (distributed, format json) select 1; explain analyze create materialized view v as select 1; explain verbose select 2;
drop materialized view v; drop foreign table if exists f;
;;;
