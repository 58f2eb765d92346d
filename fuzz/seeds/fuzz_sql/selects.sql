select 1 from tumble(flows, time, interval '5 min', "offset" => interval '1 s') as f(a,b), hop(flows, time, '1 min', '5 min') h, session(flows, time, '1 min', partition_by => (a, b));
select 1 from tumble((select * from flows where a = 1), time, interval '1 min');
select distinct on (a, b) a, * from (t cross join u) left join (select 1) q on true, lateral f(x) where a group by 1, a, a+b having b order by 1 nulls first, a desc limit 10 offset 2;
select distinct a from x right join y using (a, b) full join z on x.a = z.a;
with x(a) as (select 1), y as materialized (select 2) select 1 from x union all select 2 union select 3 limit all;
(select 1) intersect (select 2 except all select 3) order by 1 fetch first 3 rows with ties;
select * from ((select a from b) union all (select c from d)) t(x), (with z as (select 1 as o) select o from z) u where exists (select from v);
select a over w from t;
select sum(a) over w, rank() over (order by a) from t window w as (partition by b order by c range between unbounded preceding and current row);
