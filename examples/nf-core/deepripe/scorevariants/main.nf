process DEEPRIPE_SCOREVARIANTS {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container "deepripe:0.1.0" // of the Dockerfile of this repository

    input:
    tuple val(meta), path(vcf)
    tuple val(meta2), path(fasta)
    tuple val(meta3), path(gtf)
    val model

    output:
    tuple val(meta), path("*.scored.vcf.gz")    , emit: vcf
    tuple val(meta), path("*.scored.vcf.gz.tbi"), emit: tbi, optional: true
    path "versions.yml"                         , emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args       = task.ext.args ?: ''
    def prefix     = task.ext.prefix ?: "${meta.id}"
    def annotation = gtf ? "--gtf ${gtf}" : ''
    """
    ripe score-variants ${model} ${vcf} \\
        --fasta ${fasta} \\
        ${annotation} \\
        --threads ${task.cpus} \\
        --quiet \\
        ${args} \\
        -o ${prefix}.scored.vcf.gz

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        deepripe: \$(ripe --version | sed 's/^ripe //')
    END_VERSIONS
    """

    stub:
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    echo '' | gzip > ${prefix}.scored.vcf.gz
    touch ${prefix}.scored.vcf.gz.tbi

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        deepripe: \$(ripe --version | sed 's/^ripe //')
    END_VERSIONS
    """
}
