"""A small library for keeping PyTorch models, and in `classroom` the course around it.

What each module is for, which notebooks teach it, and what to copy along with it (+):

    state_dicts   01 05     look inside, compare, rename, load what fits + arguments
    checkpoints   02        a run + arguments, atomic, model_files, state_dicts, training
    atomic        02        write a file so that a crash leaves the old or the new one
    training      02        seeds, random generators, an epoch, an accuracy + arguments
    sampling      02        a data order that follows from (seed, epoch) + arguments
    devices       04        load onto a device + arguments, model_files, state_dicts
    model_files   03 05     what a file is, if it is safe, what is in it, who opens it
    dtypes        04        numbers in fewer bits + arguments, model_files, state_dicts
    onnx_export   06 09     ONNX + arguments, atomic, measurement, model_files, quiet,
                            state_dicts, training
    quantization  08 09     the quantizer written out, sizes, packed files + arguments,
                            atomic
    measurement   01 03 07  interleaved timing, peak memory, fresh processes
    quiet         06        leave out what another library prints
    arguments               the argument checks that the others share

Save, Load, Ship 0.2.0: helpers/__init__.py · repairs: CHANGELOG.md
"""
