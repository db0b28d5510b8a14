// The serial core alone, steered by lines of text: what its host ports do, and time.
//
//   write ADDRESS VALUE | read ADDRESS | load FILE ADDRESS | dump FILE ADDRESS BYTES | wait CYCLES | reset
//
// Addresses of registers count words, those of memory bytes, multiples of four. Each line is answered by one: "ok" with
// a value, "irq" or "limit" with the cycles that have passed, or "error".
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "Vserial.h"
#include "verilated.h"

static Vserial* core;
static uint64_t now;

static void tick() {
  core->clk = 0;
  core->eval();
  core->clk = 1;
  core->eval();
  ++now;
}

// Inputs that have just been set reach outputs only with an evaluation.
static bool settled(const CData& output) {
  core->clk = 0;
  core->eval();
  return output;
}

static void restart() {
  core->rst = 1;
  for (int cycle = 0; cycle < 4; ++cycle) tick();
  core->rst = 0;
}

static bool touch_register(bool write, uint32_t address, uint32_t& value) {
  core->register_request = 1;
  core->register_write = write;
  core->register_address = address;
  core->register_data = value;
  int patience = 1 << 20;
  while (!settled(core->register_done) && --patience) tick();
  bool fine = patience && !core->register_error;
  value = core->register_value;
  tick();
  core->register_request = 0;
  tick();  // the interrupt follows its causes a cycle later
  return fine;
}

static bool touch_memory(uint32_t address, uint32_t strobe, uint32_t& value) {
  core->memory_request = 1;
  core->memory_address = address >> 2;
  core->memory_strobe = strobe;
  core->memory_data = value;
  int patience = 1 << 20;
  while (!settled(core->memory_taken) && --patience) tick();
  tick();
  core->memory_request = 0;
  core->clk = 0;
  core->eval();
  value = core->memory_value;
  return patience;
}

int main(int argc, char** argv) {
  Verilated::commandArgs(argc, argv);
  core = new Vserial;
  restart();
  char line[4096], name[4096];
  while (std::fgets(line, sizeof line, stdin)) {
    unsigned long long first = 0, second = 0;
    uint32_t value = 0;
    if (std::sscanf(line, "write %llu %llu", &first, &second) == 2) {
      value = second;
      std::puts(touch_register(true, first, value) ? "ok 0" : "error");
    } else if (std::sscanf(line, "read %llu", &first) == 1) {
      bool fine = touch_register(false, first, value);
      std::printf(fine ? "ok %u\n" : "error\n", value);
    } else if (std::sscanf(line, "load %4000s %llu", name, &first) == 2) {
      std::FILE* file = std::fopen(name, "rb");
      bool fine = file;
      unsigned char bytes[4];
      while (fine && std::fread(bytes, 1, 4, file) == 4) {
        std::memcpy(&value, bytes, 4);
        fine = touch_memory(first, 15, value);
        first += 4;
      }
      if (file) std::fclose(file);
      std::puts(fine ? "ok 0" : "error");
    } else if (std::sscanf(line, "dump %4000s %llu %llu", name, &first, &second) == 3) {
      std::FILE* file = std::fopen(name, "wb");
      bool fine = file;
      for (unsigned long long end = first + second; fine && first < end; first += 4) {
        fine = touch_memory(first, 0, value);
        std::fwrite(&value, 4, 1, file);
      }
      if (file) std::fclose(file);
      std::puts(fine ? "ok 0" : "error");
    } else if (std::sscanf(line, "wait %llu", &first) == 1) {
      uint64_t begin = now;
      while (!core->irq && now - begin < first) tick();
      std::printf("%s %llu\n", core->irq ? "irq" : "limit", (unsigned long long)(now - begin));
    } else if (!std::strncmp(line, "reset", 5)) {
      restart();
      std::puts("ok 0");
    } else {
      std::puts("error");
    }
    std::fflush(stdout);
  }
  delete core;
  return 0;
}
