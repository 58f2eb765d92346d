-- Sampling error: octets and packets of each AS with the standard error that packet sampling gives them, over all
-- exporters, every five minutes. The truth is within twice the error in 95 of 100 cases; an answer whose error is half
-- of itself is none. For octets it is a lower bound (packets of one flow counted as equal). Null where an exporter does
-- not tell its rate.
-- Source: Duffield, Lund, Thorup, "Estimating flow distributions from sampled flow statistics" (SIGCOMM 2003).
CREATE MATERIALIZED VIEW sampling_error AS
SELECT window_start, src_as, sum(octets) AS octets, sum_stderr(octets) AS octets_error, sum(packets) AS packets,
       sum_stderr(packets) AS packets_error
FROM tumble(flows, time, interval '300 s')
GROUP BY window_start, src_as;
