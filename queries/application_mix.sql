-- Application mix: octets and flows by service, every five minutes. The service is the port of the two that the table
-- services knows; of two that it knows the lower; 'other' if it knows none. Ports are a hint, not a proof: look into
-- 'other' by port when it grows.
-- Source: cflowd's port matrix; NfSen's profiles.
CREATE MATERIALIZED VIEW application_mix AS
SELECT window_start, coalesce(CASE WHEN s.port < d.port THEN s.name ELSE d.name END, s.name, 'other') AS service,
       sum(f.octets) AS octets, count(*) AS flows
FROM tumble(flows, time, interval '300 s') f
     LEFT JOIN services s ON s.protocol = f.protocol AND s.port = f.src_port
     LEFT JOIN services d ON d.protocol = f.protocol AND d.port = f.dst_port
GROUP BY 1, 2;
