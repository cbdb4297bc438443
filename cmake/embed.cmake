# SPDX-License-Identifier: BSD-3-Clause
#
# cmake -DFILE=... -DNAME=... -DHEADER=... -DOUT=... -P embed.cmake: the bytes of a file as a C array.
file(READ ${FILE} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(................................................................................)" "\\1\n"
  bytes "${bytes}")
file(WRITE ${OUT} "#include \"${HEADER}\"\n\nconst unsigned char ${NAME}[] = {\n${bytes}\n};\n"
  "const size_t ${NAME}_size = sizeof ${NAME};\n")
