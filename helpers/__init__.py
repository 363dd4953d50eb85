"""A small library for keeping PyTorch models, and in `classroom` the course around it.

What each module is for, which notebooks teach it, and what to copy along with it (+):

    state_dicts   01 05     look inside, compare, rename, load what fits + arguments
    checkpoints   02        save and load a training run + arguments, atomic, model_files, training
    atomic        02        write a file so that a crash leaves the old or the new one
    training      02        seeds, random generators, an epoch, an accuracy + arguments
    sampling      02        a data order that follows from (seed, epoch) + arguments
    devices       04        choose a device, load onto it + arguments, model_files, state_dicts
    dtypes        04        what fewer bits do to numbers + arguments, model_files, state_dicts
    onnx_export   06 09     to ONNX + arguments, atomic, measurement, model_files, quiet, training
    quantization  08 09     the quantizer written out, sizes + arguments, training
    measurement   01 03 07  interleaved timing, peak memory, fresh processes
    quiet         06        leave out what another library prints
    arguments               the argument checks that the others share

Save, Load, Ship 0.2.0: helpers/__init__.py · repairs: CHANGELOG.md
"""
