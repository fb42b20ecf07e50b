# A text file as a C++ constant, so that a program carries it: cmake -DTEXT=page.html -DHEADER=page_html.hpp
#   -DNAMESPACE=report -DNAME=page_html -P embed_text.cmake
# In pieces of whole lines: compilers need not take a literal of more than 65536 characters, and MSVC takes 16 KB.
file(READ "${TEXT}" text)
get_filename_component(source "${TEXT}" NAME)
if(text MATCHES "\\)text\"")
  message(FATAL_ERROR "${TEXT} holds )text\", which ends the constant that it would become")
endif()
set(most 15000)
set(pieces "")
string(LENGTH "${text}" left)
while(left GREATER 0)
  set(size ${left})
  if(left GREATER most)
    string(SUBSTRING "${text}" 0 ${most} piece)
    string(FIND "${piece}" "\n" end REVERSE)
    if(end EQUAL -1)
      message(FATAL_ERROR "${TEXT} has a line of more than ${most} bytes")
    endif()
    math(EXPR size "${end} + 1")
  endif()
  string(SUBSTRING "${text}" 0 ${size} piece)
  string(SUBSTRING "${text}" ${size} -1 text)
  string(LENGTH "${text}" left)
  string(APPEND pieces " +\n    R\"text(${piece})text\"")
endwhile()
file(WRITE "${HEADER}" "#pragma once
// Made of ${source} by the build.

#include <string>

namespace ${NAMESPACE} {
inline const std::string ${NAME} = std::string()${pieces};
}  // namespace ${NAMESPACE}
")
