// A pseudo-terminal: what the board's USB serial chip is to the host.
#pragma once

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <string>
#include <vector>

class Pty {
  public:
    ~Pty() { close(); }

    bool open() {
        close();
        master_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        if (master_ < 0 || ::grantpt(master_) || ::unlockpt(master_)) return false;
        char name[128];
        if (::ptsname_r(master_, name, sizeof name)) return false;
        name_ = name;
        // An open slave keeps the pair alive between hosts.
        slave_ = ::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (slave_ < 0) return false;
        termios settings;
        ::tcgetattr(slave_, &settings);
        ::cfmakeraw(&settings);
        ::tcsetattr(slave_, TCSANOW, &settings);
        return true;
    }

    void close() {
        if (slave_ >= 0) ::close(slave_);
        if (master_ >= 0) ::close(master_);
        slave_ = master_ = -1;
    }

    bool is_open() const { return master_ >= 0; }
    const std::string& name() const { return name_; }

    // Rate that the host has set, or 0 where it cannot be known.
    int64_t rate() const {
#ifdef __linux__
        struct {
            uint32_t iflag, oflag, cflag, lflag;
            uint8_t line, cc[19];
            uint32_t ispeed, ospeed;
        } settings{};
        constexpr unsigned long kTcgets2 = 0x802C542Aul;
        if (master_ >= 0 && ::ioctl(master_, kTcgets2, &settings) == 0) return settings.ospeed;
#endif
        return 0;
    }

    // Move what the host has written into `bytes`, at most up to `most` bytes there.
    bool read(std::deque<uint8_t>& bytes, std::size_t most) {
        if (master_ < 0 || bytes.size() >= most) return false;
        uint8_t buffer[1024];
        const std::size_t room = most - bytes.size();
        const ssize_t count = ::read(master_, buffer, room < sizeof buffer ? room : sizeof buffer);
        if (count <= 0) return false;
        bytes.insert(bytes.end(), buffer, buffer + count);
        return true;
    }

    // Hand bytes to the host; those that find no room are lost, as on a line without flow control.
    void write(std::vector<uint8_t>& bytes) {
        if (master_ >= 0 && !bytes.empty()) {
            const ssize_t count = ::write(master_, bytes.data(), bytes.size());
            (void)count;
        }
        bytes.clear();
    }

  private:
    int master_ = -1, slave_ = -1;
    std::string name_;
};
