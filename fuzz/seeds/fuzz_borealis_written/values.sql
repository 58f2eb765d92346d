CREATE FOREIGN TABLE f (ts timestamptz, n integer, x double precision, t text, a inet) SERVER test OPTIONS (event_time 'ts');
SELECT ts, CASE WHEN n BETWEEN 1 AND 9 THEN 'low' ELSE t || '-' END AS b, trunc(x)::bigint % 7 AS c, greatest(a, '10.0.0.1') AS d
FROM f WHERE a <<= '10.0.0.0/8' AND (n IN (1, 2, 3) OR NOT x > 0.5) AND (t = 'x') IS NOT TRUE;
