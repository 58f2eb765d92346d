-- Misused servers: a server that sends a client more than ten times what it gets from it, and more than 10 MB in five
-- minutes, over a service that reflects. It is one of yours that takes part in an attack on the client. Thresholds:
-- ratio 10, octets 10,000,000. A client whose questions pass another router has received = 0, which is the usual case
-- for spoofed ones; ratio is null then.
-- Source: Flowmon ADS, REFLECTDOS.
CREATE MATERIALIZED VIEW reflectors AS
SELECT window_start, server, client, service, sum(sent) AS sent, sum(received) AS received,
       sum(sent)::double precision / nullif(sum(received), 0) AS ratio
FROM tumble((SELECT time, src_ip AS server, dst_ip AS client, src_port AS service, octets AS sent, 0 AS received
             FROM flows WHERE protocol = 17
             UNION ALL
             SELECT time, dst_ip, src_ip, dst_port, 0, octets
             FROM flows WHERE protocol = 17), time, interval '300 s')
WHERE service IN (17, 19, 53, 69, 111, 123, 137, 161, 389, 520, 1900, 3702, 5353, 11211)
GROUP BY window_start, server, client, service
HAVING sum(sent) > 10000000 AND sum(sent) > 10 * sum(received);
