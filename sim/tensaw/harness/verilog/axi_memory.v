// The memory of cpp/axi_memory.h, step for step, for event-driven simulators. Change both together.
//
// The testbench calls `before_edge` at the end of each cycle and `after_edge` once the clock edge has passed; nothing
// here is triggered by the clock, so there are no races. Unknown bits that the NPU writes are stored as 0.
`timescale 1ns / 1ps

module axi_memory #(
    parameter BUS_BYTES = 8,
    parameter ADDRESS_WIDTH = 32,
    parameter WORDS = 8192  // size in bus words
) (
    input                          awid,
    input      [ADDRESS_WIDTH-1:0] awaddr,
    input      [7:0]               awlen,
    input      [2:0]               awsize,
    input      [1:0]               awburst,
    input                          awvalid,
    output reg                     awready,
    input      [8*BUS_BYTES-1:0]   wdata,
    input      [BUS_BYTES-1:0]     wstrb,
    input                          wlast,
    input                          wvalid,
    output reg                     wready,
    output reg                     bid,
    output reg [1:0]               bresp,
    output reg                     bvalid,
    input                          bready,
    input                          arid,
    input      [ADDRESS_WIDTH-1:0] araddr,
    input      [7:0]               arlen,
    input      [2:0]               arsize,
    input      [1:0]               arburst,
    input                          arvalid,
    output reg                     arready,
    output reg                     rid,
    output reg [8*BUS_BYTES-1:0]   rdata,
    output reg [1:0]               rresp,
    output reg                     rlast,
    output reg                     rvalid,
    input                          rready
);
    localparam BURSTS = 64;   // bursts of each direction that the memory holds
    localparam BEATS = 256;   // write beats that wait for their address
    localparam HELD = ADDRESS_WIDTH + 9 * BUS_BYTES + 32;

    // Settings, changed by the testbench.
    reg [63:0] read_latency = 32, write_latency = 8, base = 0, error_low = 0, error_high = 0;
    reg [31:0] stall = 0, seed = 0, random = 1;
    reg [1:0]  error_response = 2;

    reg              violated = 0;
    reg [8*160-1:0]  violation;
    reg              handshake = 0;

    reg [8*BUS_BYTES-1:0] words [0:WORDS-1];

    // Queues: rings with counts. Bursts are {id, beats, address}.
    reg [63:0] read_address [0:BURSTS-1], read_ready [0:BURSTS-1];
    reg [8:0]  read_beats [0:BURSTS-1];
    reg        read_id [0:BURSTS-1];
    reg [63:0] write_address [0:BURSTS-1];
    reg [8:0]  write_beats [0:BURSTS-1];
    reg        write_id [0:BURSTS-1];
    reg [63:0] response_ready [0:BURSTS-1];
    reg [1:0]  response_code [0:BURSTS-1];
    reg        response_id [0:BURSTS-1];
    reg [8*BUS_BYTES-1:0] beat_data [0:BEATS-1];
    reg [BUS_BYTES-1:0]   beat_strobes [0:BEATS-1];
    reg                   beat_last [0:BEATS-1];
    integer read_head = 0, reads = 0, write_head = 0, writes = 0;
    integer response_head = 0, responses = 0, beat_head = 0, beats = 0;
    integer read_beat = 0, write_beat = 0;
    reg [1:0] write_code = 0;

    // What is driven in the current cycle, copied to the ports after the clock edge.
    reg ar_ready = 0, aw_ready = 0, w_ready = 0, r_valid = 0, b_valid = 0;
    reg [8*BUS_BYTES-1:0] r_data = 0;
    reg [1:0] r_code = 0;

    reg [HELD-1:0] held_ar, held_aw, held_w;
    reg waiting_ar = 0, waiting_aw = 0, waiting_w = 0;

    initial begin
        {awready, wready, bid, bresp, bvalid, arready, rid, rresp, rlast, rvalid} = 0;
        rdata = 0;
    end

    task reseed;
        random = ((seed + 32'd1) * 32'd2654435761) | 32'd1;
    endtask

    task draw(output held);
        begin
            random = random ^ (random << 13);
            random = random ^ (random >> 17);
            random = random ^ (random << 5);
            held = random[15:0] < stall;
        end
    endtask

    task report(input [8*160-1:0] text);
        if (!violated) begin
            violated = 1;
            violation = text;
        end
    endtask

    function [63:0] beat_address(input [63:0] address, input integer beat);
        beat_address = address / BUS_BYTES * BUS_BYTES + beat * BUS_BYTES;
    endfunction

    function in_error_range(input [63:0] address);
        in_error_range = address + BUS_BYTES > error_low && address < error_high;
    endfunction

    task check_burst(
        input [8*5-1:0] kind, input [63:0] address, input integer length, input [2:0] size, input [1:0] burst,
        output good
    );
        reg [8*160-1:0] text;
        reg [63:0] first, last;
        begin
            first = beat_address(address, 0);
            last = beat_address(address, length) - 1;
            good = 0;
            if ((1 << size) != BUS_BYTES)
                $sformat(text, "%0s burst at 0x%0h has beats of %0d bytes on a bus of %0d", kind, address, 1 << size,
                         BUS_BYTES);
            else if (burst != 1)
                $sformat(text, "%0s burst at 0x%0h is not of type INCR", kind, address);
            else if (first[63:12] != last[63:12])
                $sformat(text, "%0s burst at 0x%0h of %0d beats crosses a 4 KiB boundary", kind, address, length);
            else if (first < base || last >= base + WORDS * BUS_BYTES)
                $sformat(text, "%0s burst at 0x%0h of %0d beats lies outside the memory", kind, address, length);
            else if (^address === 1'bx)
                $sformat(text, "%0s burst has an address with unknown bits", kind);
            else
                good = 1;
            if (!good) report(text);
        end
    endtask

    task check_held(
        input waiting, input [HELD-1:0] held, input [HELD-1:0] now, input valid, input [8*2-1:0] channel
    );
        reg [8*160-1:0] text;
        begin
            if (valid === 1'bx) begin
                $sformat(text, "m_axi_%0svalid is unknown", channel);
                report(text);
            end else if (waiting && !valid) begin
                $sformat(text, "m_axi_%0svalid was withdrawn before it was taken", channel);
                report(text);
            end else if (waiting && held !== now) begin
                $sformat(text, "the payload of m_axi_%0svalid changed before it was taken", channel);
                report(text);
            end
        end
    endtask

    // A channel that neither waits nor waited needs no look at its payload.
    task check_stable;
        reg [HELD-1:0] now;
        begin
            if (waiting_ar || arvalid === 1'bx || (arvalid && !ar_ready)) begin
                now = {arid, araddr, arlen, arsize, arburst};
                check_held(waiting_ar, held_ar, now, arvalid, "ar");
                held_ar = now;
                waiting_ar = arvalid && !ar_ready;
            end
            if (waiting_aw || awvalid === 1'bx || (awvalid && !aw_ready)) begin
                now = {awid, awaddr, awlen, awsize, awburst};
                check_held(waiting_aw, held_aw, now, awvalid, "aw");
                held_aw = now;
                waiting_aw = awvalid && !aw_ready;
            end
            if (waiting_w || wvalid === 1'bx || (wvalid && !w_ready)) begin
                now = {wdata, wstrb, wlast};
                check_held(waiting_w, held_w, now, wvalid, "w");
                held_w = now;
                waiting_w = wvalid && !w_ready;
            end
        end
    endtask

    task commit_beats(input [63:0] cycle);
        reg [63:0] address;
        reg [8*BUS_BYTES-1:0] word;
        reg [8*160-1:0] text;
        reg last;
        integer bit_index, slot;
        while (writes != 0 && beats != 0) begin
            address = beat_address(write_address[write_head], write_beat);
            last = write_beat + 1 == write_beats[write_head];
            if (beat_last[beat_head] !== last) begin
                $sformat(text, "m_axi_wlast is %0d in beat %0d of a write burst of %0d beats at 0x%0h",
                         beat_last[beat_head], write_beat + 1, write_beats[write_head], write_address[write_head]);
                report(text);
            end
            if (in_error_range(address))
                write_code = error_response;
            else begin
                word = words[(address - base) / BUS_BYTES];
                for (bit_index = 0; bit_index < 8 * BUS_BYTES; bit_index = bit_index + 1)
                    if (beat_strobes[beat_head][bit_index / 8])
                        word[bit_index] = beat_data[beat_head][bit_index] === 1'b1;
                words[(address - base) / BUS_BYTES] = word;
            end
            beat_head = (beat_head + 1) % BEATS;
            beats = beats - 1;
            write_beat = write_beat + 1;
            if (last) begin
                slot = (response_head + responses) % BURSTS;
                response_ready[slot] = cycle + write_latency;
                response_code[slot] = write_code;
                response_id[slot] = write_id[write_head];
                responses = responses + 1;
                write_head = (write_head + 1) % BURSTS;
                writes = writes - 1;
                write_beat = 0;
                write_code = 0;
            end
        end
    endtask

    task present_read;
        reg [63:0] address;
        begin
            address = beat_address(read_address[read_head], read_beat);
            r_valid = 1;
            r_code = in_error_range(address) ? error_response : 2'd0;
            r_data = in_error_range(address) ? 0 : words[(address - base) / BUS_BYTES];
        end
    endtask

    // Sample the wires at the end of cycle `cycle` and decide what to drive in the next one.
    task before_edge(input [63:0] cycle);
        reg ar, aw, w, r, b, good;
        reg [4:0] hold;
        integer slot, index;
        begin
            check_stable;
            ar = arvalid === 1'b1 && ar_ready;
            aw = awvalid === 1'b1 && aw_ready;
            w = wvalid === 1'b1 && w_ready;
            r = r_valid && rready === 1'b1;
            b = b_valid && bready === 1'b1;
            handshake = ar || aw || w || r || b;
            if (ar) begin
                check_burst("read", araddr, arlen + 1, arsize, arburst, good);
                if (good) begin
                    slot = (read_head + reads) % BURSTS;
                    read_address[slot] = araddr;
                    read_beats[slot] = arlen + 1;
                    read_id[slot] = arid;
                    read_ready[slot] = cycle + read_latency;
                    reads = reads + 1;
                end
            end
            if (aw) begin
                check_burst("write", awaddr, awlen + 1, awsize, awburst, good);
                if (good) begin
                    slot = (write_head + writes) % BURSTS;
                    write_address[slot] = awaddr;
                    write_beats[slot] = awlen + 1;
                    write_id[slot] = awid;
                    writes = writes + 1;
                end
            end
            if (w) begin
                slot = (beat_head + beats) % BEATS;
                beat_data[slot] = wdata;
                beat_strobes[slot] = wstrb;
                beat_last[slot] = wlast;
                beats = beats + 1;
            end
            commit_beats(cycle);
            if (r) begin
                r_valid = 0;
                read_beat = read_beat + 1;
                if (read_beat == read_beats[read_head]) begin
                    read_head = (read_head + 1) % BURSTS;
                    reads = reads - 1;
                    read_beat = 0;
                end
            end
            if (b) begin
                b_valid = 0;
                response_head = (response_head + 1) % BURSTS;
                responses = responses - 1;
            end
            hold = 0;
            if (stall != 0)
                for (index = 0; index < 5; index = index + 1) begin
                    draw(good);
                    hold[index] = good;
                end
            ar_ready = reads < BURSTS && !hold[0];
            aw_ready = writes + responses < BURSTS && !hold[1];
            w_ready = beats < BEATS && !hold[2];
            if (!r_valid && reads != 0 && read_ready[read_head] <= cycle + 1 && !hold[3]) present_read;
            if (!b_valid && responses != 0 && response_ready[response_head] <= cycle + 1 && !hold[4]) b_valid = 1;
        end
    endtask

    // Drive the values of the next cycle.
    task after_edge;
        begin
            arready = ar_ready;
            awready = aw_ready;
            wready = w_ready;
            rvalid = r_valid;
            rid = r_valid ? read_id[read_head] : 1'b0;
            rlast = r_valid && read_beat + 1 == read_beats[read_head];
            rresp = r_valid ? r_code : 2'd0;
            rdata = r_data;
            bvalid = b_valid;
            bid = b_valid ? response_id[response_head] : 1'b0;
            bresp = b_valid ? response_code[response_head] : 2'd0;
        end
    endtask
endmodule
