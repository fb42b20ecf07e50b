// FFmpeg's log: what concerns a reader goes to its report, nothing of it to stderr.

extern "C" {
#include <libavutil/log.h>
}

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <utility>

#include "video_decoder.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io::video {
namespace {

constexpr std::size_t most_lines = 32;

thread_local LogSink* current_sink = nullptr;

/// The sinks that are alive: a decoder's thread finds its own through AVCodecContext::opaque.
struct Registry {
  std::mutex mutex;
  std::vector<const void*> sinks;
};
Registry& registry() {
  static auto* all = new Registry;  // never destroyed: FFmpeg's threads may log at exit
  return *all;
}

/// FFmpeg's callback has no place for a pointer of ours, and there is one for the whole process.
/// Messages that belong to no reader go where FFmpeg would have sent them.
void log_callback(void* object, int level, const char* format, va_list arguments) {
  const auto line = [&] {
    char text[512];
    std::vsnprintf(text, sizeof text, format, arguments);
    return std::string(text);
  };
  if (current_sink != nullptr) {
    if (level <= AV_LOG_ERROR) current_sink->add(line());
    return;
  }
  if (object != nullptr && *static_cast<const AVClass* const*>(object) == avcodec_get_class()) {
    void* opaque = static_cast<const AVCodecContext*>(object)->opaque;
    Registry& all = registry();
    const std::lock_guard guard(all.mutex);
    if (std::find(all.sinks.begin(), all.sinks.end(), opaque) != all.sinks.end()) {
      if (level <= AV_LOG_ERROR) static_cast<LogSink*>(opaque)->add(line());
      return;
    }
  }
  av_log_default_callback(object, level, format, arguments);
}

}  // namespace

struct LogSink::State {
  std::mutex mutex;
  std::vector<std::string> known, fresh;
};

LogSink::LogSink() : state_(std::make_unique<State>()) {
  // Once: a program that sets a callback of its own afterwards keeps it.
  static std::once_flag installed;
  std::call_once(installed, [] { av_log_set_callback(log_callback); });
  Registry& all = registry();
  const std::lock_guard guard(all.mutex);
  all.sinks.push_back(this);
}

LogSink::~LogSink() {
  Registry& all = registry();
  const std::lock_guard guard(all.mutex);
  std::erase(all.sinks, this);
}

void LogSink::add(std::string line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r' || line.back() == ' '))
    line.pop_back();
  if (line.empty()) return;
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 32 || static_cast<unsigned char>(c) > 126) c = '?';
  }
  const std::lock_guard guard(state_->mutex);
  if (state_->known.size() >= most_lines) return;
  if (std::find(state_->known.begin(), state_->known.end(), line) != state_->known.end()) return;
  state_->known.push_back(line);
  state_->fresh.push_back(std::move(line));
}

std::vector<std::string> LogSink::take() {
  const std::lock_guard guard(state_->mutex);
  return std::exchange(state_->fresh, {});
}

LogScope::LogScope(LogSink& sink) : outer_(current_sink, &sink) {}

}  // namespace io::video
TANDEM_NAMESPACE_END
