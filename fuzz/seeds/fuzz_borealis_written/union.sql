WITH a AS (SELECT window_start, dst_as, avg(octets) AS n FROM hop(flows, time, interval '30 s', interval '60 s')
           WHERE tcp_flags & 18 = 2 GROUP BY 1, 2 HAVING count(*) > 3)
SELECT window_start, sum(n) AS n, count(src) FROM (SELECT window_start, dst_as AS src, n FROM a UNION ALL SELECT window_start, 0, n / 2 FROM a) u
GROUP BY window_start;
