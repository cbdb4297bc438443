# SPDX-License-Identifier: BSD-3-Clause
#
# nf_add_kernels(TARGET SOURCES k_*.c): one text per kernel, one object per instruction set, chosen at run time
# (core/kern/select.c). NF_ISA names the build; flags are given to these objects alone.
function(nf_add_kernels target)
  cmake_parse_arguments(ARG "" "" "SOURCES" ${ARGN})
  set(isas ref)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(APPEND isas avx2 avx512)
  endif()
  set(flags_ref "")
  set(flags_avx2 -mavx2 -mfma)
  set(flags_avx512 -mavx512f -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512)
  foreach(isa IN LISTS isas)
    add_library(${target}_${isa} OBJECT ${ARG_SOURCES})
    target_link_libraries(${target}_${isa} PRIVATE nf_flags)
    target_include_directories(${target}_${isa} PRIVATE core core/include)
    target_compile_definitions(${target}_${isa} PRIVATE NF_ISA=${isa} NF_ISA_${isa})
    target_compile_options(${target}_${isa} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O3> ${flags_${isa}})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}_${isa}>)
    target_compile_definitions(${target} PRIVATE NF_HAVE_${isa})
  endforeach()
endfunction()
