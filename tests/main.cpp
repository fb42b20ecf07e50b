// ThreadSanitizer sees only that doctest's signal handler allocates, and reports that in place of
// the signal: a test that is told to end (SIGTERM, at a time limit) or crashes would look like a
// race.
#if defined(__SANITIZE_THREAD__)
#define DOCTEST_CONFIG_NO_POSIX_SIGNALS
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DOCTEST_CONFIG_NO_POSIX_SIGNALS
#endif
#endif
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
