# A text file as a C++ constant, so that a program carries it: cmake -DTEXT=page.html -DHEADER=page_html.hpp
#   -DNAMESPACE=report -DNAME=page_html -P embed_text.cmake
file(READ "${TEXT}" text)
get_filename_component(source "${TEXT}" NAME)
if(text MATCHES "\\)text\"")
  message(FATAL_ERROR "${TEXT} holds )text\", which ends the constant that it would become")
endif()
file(WRITE "${HEADER}" "#pragma once
// Made of ${source} by the build.

namespace ${NAMESPACE} {
inline constexpr char ${NAME}[] = R\"text(${text})text\";
}  // namespace ${NAMESPACE}
")
